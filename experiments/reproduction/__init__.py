"""What the studies of MNIST and CIFAR-10 share: runs that are kept, choices on validation data, studies."""
