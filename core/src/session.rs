//! Who is alive: the heartbeats of sessions, soft state of the leader.
