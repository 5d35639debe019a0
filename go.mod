module github.com/rocketlog/rocketlog

go 1.26
