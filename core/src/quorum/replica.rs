//! One server of the ensemble: its log, its ballot, its epoch.
