"""The benchmark: a real hub under load, and beside it the raw cost of the work it cannot avoid.

`gateway bench` is reproducible in its load (same dossiers, same messages but for tickets and times) and
honest in its figure: hub CPU per exchange ÷ floor, both measured in the same run, since absolute times
drift on shared machines. Nothing here judges whether an exchange was permitted; the tests do that.
"""
