"""The protocol agreement as code: contract, terms and register, read once and resolved completely.

`schema` compiles the XSDs, `load` the agreement, `register` the register of authorities; `served` writes the
contract that one role is served. `messages`, `admit` and `answer` apply them to what arrives. Who may ask
what, and what may be released, is decided in `gateway.policy`.
"""
