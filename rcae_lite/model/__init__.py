"""The three networks of the paper, their losses, and the single-pass autoencoder beside them."""
