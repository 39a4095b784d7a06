"""SemanticImage to bytes and back: pure Python and numpy, exact, bounded before allocation."""
