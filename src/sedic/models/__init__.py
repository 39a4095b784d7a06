"""Networks: their modules, their weight files, and how they are downloaded and loaded."""
