"""The evidence: what an exchange leaves behind, and how anybody checks it offline.

    audit        the check of a whole log
    audit_rows   each of its entries by itself
    kept         what stands beside the entries, against what was erased
    account      what a log says was erased of one that it succeeds
    answer       whether an answer to an officer is whole
    question     what an officer asks, as far as a leaf shows it
    site         a log as static files (C2SP tlog-tiles), and the check of them
    completeness that a range of entries lacks nothing
    audit_tree   the tree in tiles against its entries and its root
    proof        proof files (C2SP tlog-proof)
    consistency  proofs that a later checkpoint extends an earlier one
    pin          checkpoints that somebody keeps, compared
    checkpoint   the signed size and root (C2SP tlog-checkpoint)
    witness      what a witness checks before it cosigns (C2SP tlog-witness)
    quorum       whose cosignatures are enough (C2SP tlog-policy)
    cosignature  what a witness signs (C2SP tlog-cosignature)
    note         signatures (C2SP signed-note)
    exchange_id  what the entries of an exchange share
    entry        stages of an exchange → entries
    own_entry    entries about the log itself
    erasure      entries about what is destroyed
    leaf         an entry
    form         the closed form of each kind of entry
    commitment   salted hashes in an entry
    bucket       what has one key, and goes with it
    indices      sets of entries
    pairing      which entries belong together
    fields       released and withheld fields, without their values
    tile         the tree in tiles (C2SP tlog-tiles)
    merkle       the tree itself (RFC 9162)
    receipt      what a recipient checks of its own exchange
    disclosed    one value of an entry, proven to somebody else
    exhibit      an entry with its field records and the agreement in force, in one file
    flaw         the closed list of what can be wrong

Together with `gateway.refusal` and `gateway.model` this is all that an auditor needs. No clock, no file.
"""
