"""Many patients: from files of any size to findings, in bounded memory, restartable, on all cores."""
