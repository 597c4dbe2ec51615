"""A song's own past as a second opinion on what comes next.

A small network knows how music goes, and forgets what this song did sixteen bars ago. So every
token that was heard is kept with its contexts: the tokens before it, and its musical place. What
followed the same contexts before is mixed with what the network expects; a gate that was fitted to
music decides from how often and how surely it followed how much it counts. The idea is that of
context mixing (Mahoney 2005, PAQ) and of the neural cache (Grave et al. 2017, arXiv 1612.04426).
"""
