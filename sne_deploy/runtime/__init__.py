"""Running a compiled ensemble: encoding, the activation policy, the executors, the result."""
