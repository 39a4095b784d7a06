"""Describers: they find the words and masks of a picture.

Every describer makes a ``description.Description``; ``parts.DESCRIBERS`` lists them. Nothing heavy
is imported here.
"""
