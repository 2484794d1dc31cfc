"""A witness (C2SP tlog-witness): a program of its own, which knows logs by their keys and no exchange at all.

    run       settings → a running witness
    service   the requests over HTTP
    store     what was cosigned, on disk
    settings  its TOML file

It belongs on another machine than the log's, in the hands of another organisation.
"""
