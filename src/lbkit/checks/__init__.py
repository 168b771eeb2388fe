"""Checks: the contract, the registry, the two drivers, the results.

This file imports nothing, because `lbkit-probe` passes through it. What is where:

    conversation  what a protocol and a driver say to each other      kind      CheckKind, Params: what a check declares
    blocking      the driver for one check                            registry  which checks there are, and who gives them
    many          the driver for many, on asyncio                     target    Target: what one check looks at
    underway      one check that it has under way                     result    Result: what one run found
    tls           the layer below a conversation                      reasons   the reason codes that every check shares
    names         host names to addresses                             facade    check, acheck, check_many
    words         sentences about connections that fail               connect   the check `connect`
"""
