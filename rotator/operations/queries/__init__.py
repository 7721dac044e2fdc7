"""Operations that read and change nothing."""
