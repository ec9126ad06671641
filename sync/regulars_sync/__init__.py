"""How replicas agree. Pure: no clock of its own, no await, no I/O, no randomness.

One idea a module, read in this order:

    clock      stamps that order changes which have not seen each other
    changes    the change, its coding, its limits
    merge      values side by side, and the rule that chooses the shown one
    document   a row as the bytes that every replica keeps
    scope      who holds a row
    check      whether one change fits the declarations, and its admitted form
    reconcile  groups of changes against rows: verdicts and what is to be written
    log        the append-only record and its hashes
    trail      incarnations and what counts as acknowledged
    cursor     how far a replica has read, signed by the server
    digest     proof that two replicas are equal
    protocol   what travels between tablet and server
    round      one sync round as a generator that any driver can run
    errors     the tree of errors
"""
