"""Operations that answer a question and change nothing."""
