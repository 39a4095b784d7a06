"""Synthesis: a semantic image becomes a picture (SEDIC, Algorithm 1).

``stages`` reads like the algorithm; ``settings`` is what a file may say about it and imports
nothing heavy.
"""
