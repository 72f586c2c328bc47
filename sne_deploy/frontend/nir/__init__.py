"""NIR graphs: files, primitives, shapes, topology."""
