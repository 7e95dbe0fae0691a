"""Pages over preference data: look at choices and correct them (browse), collect new ones (compare)."""
