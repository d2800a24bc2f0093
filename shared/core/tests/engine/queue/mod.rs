mod fifo;
mod listing;
mod pause;
mod priority;
mod stats;
