//! Typed access to the topics: producer, consumer of a group, follower of a compacted topic. The only crate that names rdkafka.
