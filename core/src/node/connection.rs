//! One client's connection: the order of its replies.
