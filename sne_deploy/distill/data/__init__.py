"""An experiment's data: splits, augmented copies, arrays of the user's own."""
