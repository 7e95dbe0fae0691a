"""What is worth learning from: good and bad pictures of the same prompt, picked by a scorer or by recorded choices."""
