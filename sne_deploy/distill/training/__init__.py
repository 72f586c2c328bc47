"""What all trainings share: the loop, its repeatability, and the state that a killed run goes on from."""
