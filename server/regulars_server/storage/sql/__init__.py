"""What both engines read and write, once: plain synchronous functions over SQL, in the dialect of SQLite.

dialect    what an engine says otherwise, and the connection that these functions are given
where      what is looked for, as SQL
snapshot   what one transaction can read
commit     what the one writer writes
reader     the interface's reader and writer over these
"""
