"""Norse modules in, layers and NIR graphs out, and back."""
