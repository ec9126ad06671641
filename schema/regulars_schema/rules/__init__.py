"""The rule language: what may be asked of a customer, and what the answer is on a given day.

A rule is a tree of tests. `text` reads and prints it for people, `tree` as JSON; `evaluate` answers it for
one customer, and says why and until when. An answer is true, false or None: None where this replica can't
know. Days are whole, in the time zone of the customer's home unit.
"""
