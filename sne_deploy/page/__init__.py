"""What a person looks at: the figures of a run, and the page that shows them."""
