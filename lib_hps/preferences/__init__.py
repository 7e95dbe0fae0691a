"""What did people like? Choices on disk, for training later."""
