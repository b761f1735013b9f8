"""Slow right answers to judge the fast ones by: the posterior of known models, without a network.

What is known is said by an `observation.Observation`. `grid` is exact for one molecule,
`metropolis` samples a known number of them, `evidence` weighs one number against another, and
`reversible_jump` samples an unknown number, in many small frames at once.
"""
