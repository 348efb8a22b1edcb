//! What real systemd hosts do: one file per scenario. Needs `tests/lab/lab up` and PIPEDOWN_LAB=1.
