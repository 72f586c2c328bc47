"""Norse -> NIR and back, and the files that hold NIR graphs."""
