"""Checks: the contract, the registry, the two drivers, the results.

This file imports nothing, because `lbkit-probe` passes through it. What is where:

    conversation  what a protocol and a driver say to each other      kind        CheckKind, Params: what a check declares
    blocking      the driver for one check                            registry    which checks there are, and who gives them
    many          the driver for many, on asyncio                     target      Target: what one check looks at
    underway      one check that it has under way                     result      Result: what one run found
    tls           the layer below a conversation                      health      rise and fall: what many results add up to
    context       what a TLS client trusts and shows                  exposition  results as Prometheus reads them
    alerts        what an error of TLS means                          plan        which checks a site asks for
    names         host names to addresses                             survey      all of them, side by side
    words         sentences about connections that fail               direct_routing  when the check of that name is in it
    connect       the check `connect`                                 facade      check, check_many, check_site, load_site
    here          what this machine is to a check                     reasons     the reason codes that every check shares
    told          Prometheus' text format
"""
