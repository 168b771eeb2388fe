"""Mail about what happens to a site (guide 12.2 to 12.4).

`incidents` says what is worth a mail (an `incident`), `recipients` whose, `letter` writes it (`headline`: its subject),
`outbox` keeps it until it is taken, `smtp` brings it away (`mx`: to whom, `connection`: how), and `mail` is the receiver of
events that does all of it.
"""
