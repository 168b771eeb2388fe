"""Checks: the contract, the registry, the two drivers, the results.

This file imports nothing, because `lbkit-probe` passes through it. What is where:

    conversation  what a protocol and a driver say to each other      kind      CheckKind, Params: what a check declares
    blocking      the driver for one check                            registry  which checks there are, and who gives them
    many, flight  the driver for many, on asyncio                     target    Target: what one check looks at
    tls           the layer below a conversation                      result    Result: what one run found
    names         host names to addresses                             reasons   the reason codes that every check shares
    words         sentences about connections that fail               facade    check, acheck, check_many
    connect       the check `connect`
"""
