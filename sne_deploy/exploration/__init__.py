"""Which policy is worth its energy: every choice judged from one recorded run; the best; picking one."""
