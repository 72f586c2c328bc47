"""The model: an ensemble of students, its head, policy and encoder, and the file that holds them."""
