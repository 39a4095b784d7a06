"""Picture to meaning: what is described, in which words, and where it is.

Every describer makes a ``description.Description``; ``parts.DESCRIBERS`` lists them. Nothing heavy
is imported here.
"""
