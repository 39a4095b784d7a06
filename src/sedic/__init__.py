"""sedic: a picture as one to three kilobytes of meaning, and back."""
