"""The tables of the store in PostgreSQL, version by version; `store_migrate` applies them."""
