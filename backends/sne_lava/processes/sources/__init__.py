"""Where samples and biases enter."""
