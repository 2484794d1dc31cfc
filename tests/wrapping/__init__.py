"""Signature wrapping over the whole contract: messages that a careless verifier takes, and that ours must not."""
