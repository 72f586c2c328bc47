"""What any activation policy gives, judged from one record of all students, without another run."""
