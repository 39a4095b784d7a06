"""Codes a ``SemanticImage`` as bytes and decodes it: without torch, exactly, in bounded memory."""
