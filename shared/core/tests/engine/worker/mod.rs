mod calls;
mod deadline;
mod fencing;
mod messages;
mod races;
mod repeats;
