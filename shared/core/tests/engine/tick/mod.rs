mod audit;
mod due;
mod outage;
mod redrive;
mod standing;
mod time;
