//! Jute, the alphabet of ZooKeeper's protocol.
