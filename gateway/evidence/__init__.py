"""Evidence files: an exchange in one container that anybody can check offline (PROTOCOL §8.15). Who adopted an agreement.

    check        every finding about a file
    together     which entries belong into one file
    message      one signed message, by two engines
    moment       certificates and revocation data, as of the time of an entry
    stamp        RFC 3161 time-stamp tokens
    contents     what is in a file, and under which names
    xades        the signature over all of it (ETSI EN 319 132-1), and over a revision of the agreement
    adoption     whether a revision of the agreement was signed by all its parties (PROTOCOL §7.9)
    container    the ZIP around it (ETSI EN 319 162-1)

Bytes, values and times in; no clock, no file. `message` is the only part of the program that gives what others
sent to xmlsec, and only after `wss` has verified it.
"""
