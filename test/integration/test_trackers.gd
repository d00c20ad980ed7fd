extends "res://test/integration/torrent_test.gd"
## Trackers on loopback, over HTTP and UDP: they bring sessions together, hear how a
## torrent does, and are told of in alerts.

const HttpTracker := preload("res://test/integration/loopback_tracker.gd")
const UdpTracker := preload("res://test/integration/loopback_udp_tracker.gd")

const ALERTS := {"alert_mask": AlertManager.CATEGORY_ALL}


## A tracker, with its announce URL as its name.
func open(tracker: Node) -> String:
	add_child_autofree(tracker)
	return tracker.open()


func tracked(url: String) -> PackedByteArray:
	write_file(folder + "/seed/data.bin", content(MIB))
	var creator := TorrentCreator.new()
	assert_true(creator.add_file(folder + "/seed/data.bin"))
	assert_true(creator.add_tracker(url))
	return creator.generate_blocking()


func alert_of(session: TorrentSession, name: String) -> Dictionary:
	var manager := session.get_alert_manager()
	var is_there := func() -> bool: return manager.get_alerts_by_name(name).size() > 0
	assert_true(await wait_until(is_there, LIMIT), "an alert %s" % name)
	var alerts := manager.get_alerts_by_name(name)
	return alerts[0] if alerts.size() > 0 else {}


func test_sessions_find_one_another(
	script: GDScript = use_parameters([HttpTracker, UdpTracker])
) -> void:
	var tracker: Node = script.new()
	var url := open(tracker)
	var data := tracked(url)
	await seed_torrent(start_session(), data)
	assert_true(await wait_until(func() -> bool: return tracker.announces > 0, LIMIT))
	var session := start_session(ALERTS)
	var handle := session.add_torrent_file(data, folder + "/save")
	await finished(handle)
	assert_eq(sha256(folder + "/save/data.bin"), sha256(folder + "/seed/data.bin"))
	var reply := await alert_of(session, "tracker_reply")
	assert_eq(reply.get("tracker_url"), url)
	assert_eq(reply.get("num_peers"), 1)
	assert_eq(reply.get("info_hash"), handle.get_info_hash())
	# It is asked once more at the end of the download.
	var is_planned := func() -> bool:
		var is_told := handle.get_status().get_next_announce() > 0
		return is_told and handle.get_trackers()[0].next_announce > 0
	assert_true(await wait_until(is_planned, LIMIT), "the next announce is planned")
	var known := handle.get_trackers()[0]
	assert_eq(known.url, url)
	assert_true(known.verified)
	assert_eq(known.fails, 0)
	assert_eq(known.last_error, "")
	assert_eq(handle.get_status().get_current_tracker(), url)


func test_the_tracker_hears_of_begin_and_end() -> void:
	var tracker := HttpTracker.new()
	var data := tracked(open(tracker))
	await seed_torrent(start_session(), data)
	assert_true(await wait_until(func() -> bool: return tracker.announces > 0, LIMIT))
	var session := start_session(ALERTS)
	var port := port_of(session)
	var handle := session.add_torrent_file(data, folder + "/save")
	var has := func(event: String) -> bool: return event in tracker.events_of(port)
	assert_true(await wait_until(has.bind("completed"), LIMIT))
	assert_true(session.remove_torrent(handle))
	assert_true(await wait_until(has.bind("stopped"), LIMIT))
	assert_eq(tracker.events_of(port), ["started", "completed", "stopped"])
	var told := tracker.heard.filter(func(it: Dictionary) -> bool: return it.port == str(port))
	assert_eq(told[0].left, str(MIB))
	assert_eq(told[0].downloaded, "0")
	assert_eq(told[1].left, "0")
	assert_eq(told[1].downloaded, str(MIB))
	var announce := await alert_of(session, "tracker_announce")
	assert_eq(announce.get("event"), 2, "started, by libtorrent's number")


func test_a_failure_is_told_and_mended(
	script: GDScript = use_parameters([HttpTracker, UdpTracker])
) -> void:
	var tracker: Node = script.new()
	var url := open(tracker)
	tracker.failure = "closed today"
	var session := start_session(ALERTS)
	var handle := session.add_torrent_file(tracked(url), folder + "/save")
	var alert := await alert_of(session, "tracker_error")
	assert_eq(alert.get("tracker_url"), url)
	assert_string_contains(alert.get("message", ""), "closed today")
	assert_eq(alert.get("times_in_row"), 1)
	var manager := session.get_alert_manager()
	var is_counted := func() -> bool:
		var fails: int = handle.get_trackers()[0].fails
		return fails > 0 and fails == manager.get_alerts_by_name("tracker_error").size()
	assert_true(await wait_until(is_counted, LIMIT))
	assert_false(handle.get_trackers()[0].verified)
	assert_eq(handle.get_status().get_error(), "", "that is no error of the torrent")
	assert_eq(handle.get_status().get_current_tracker(), "")

	tracker.failure = ""
	assert_true(handle.force_reannounce())
	await alert_of(session, "tracker_reply")
	var is_well := func() -> bool: return handle.get_trackers()[0].fails == 0
	assert_true(await wait_until(is_well, LIMIT))
	assert_true(handle.get_trackers()[0].verified)


func test_a_warning_is_passed_on() -> void:
	var tracker := HttpTracker.new()
	tracker.warning = "go easy"
	var session := start_session(ALERTS)
	var handle := session.add_torrent_file(tracked(open(tracker)), folder + "/save")
	var alert := await alert_of(session, "tracker_warning")
	assert_string_contains(alert.get("message", ""), "go easy")
	var is_shown := func() -> bool: return handle.get_trackers()[0].message == "go easy"
	assert_true(await wait_until(is_shown, LIMIT))


func test_the_next_tier_is_asked_when_the_first_fails() -> void:
	var good := HttpTracker.new()
	var bad := HttpTracker.new()
	bad.failure = "never"
	var session := start_session(ALERTS)
	var handle := session.add_torrent_file(make_torrent(1000), folder + "/save")
	var urls := [open(bad), open(good)]
	assert_true(handle.replace_trackers(urls))
	var reply := await alert_of(session, "tracker_reply")
	assert_eq(reply.get("tracker_url"), urls[1])
	assert_gt(bad.announces, 0, "the first tier was asked first")


func test_a_tracker_that_was_removed_is_not_asked() -> void:
	var removed := HttpTracker.new()
	var left := HttpTracker.new()
	var session := start_session(ALERTS)
	var handle := session.add_torrent_file(make_torrent(1000), folder + "/save")
	var urls := [open(removed), open(left)]
	assert_true(handle.add_tracker(urls[0]))
	assert_true(await wait_until(func() -> bool: return removed.announces > 0, LIMIT))
	assert_true(handle.remove_tracker(urls[0]))
	var is_gone := func() -> bool: return handle.get_trackers().is_empty()
	assert_true(await wait_until(is_gone, LIMIT))
	var before := removed.announces
	assert_true(handle.add_tracker(urls[1]))
	assert_true(handle.force_reannounce())
	assert_true(await wait_until(func() -> bool: return left.announces > 0, LIMIT))
	var new_ones := removed.heard.slice(before)
	var goodbyes := new_ones.filter(func(it: Dictionary) -> bool: return it.event == "stopped")
	assert_eq(goodbyes.size(), new_ones.size(), "it hears at most a goodbye")


func test_scrapes_tell_of_the_swarm(
	script: GDScript = use_parameters([HttpTracker, UdpTracker])
) -> void:
	var tracker: Node = script.new()
	var url := open(tracker)
	var data := tracked(url)
	var expected := {"complete": 1, "incomplete": 2}
	if script == HttpTracker:
		await seed_torrent(start_session(), data)
		assert_true(await wait_until(func() -> bool: return tracker.announces > 0, LIMIT))
		expected.incomplete = 0
	# What looks like no announce is not asked of this machine, unless that is allowed.
	var session := start_session(ALERTS.merged({"ssrf_mitigation": false}))
	session.pause_session()
	var handle := session.add_torrent_file(data, folder + "/save")
	assert_true(handle.scrape_tracker())
	var reply := await alert_of(session, "scrape_reply")
	assert_eq(reply.get("complete"), expected.complete)
	assert_eq(reply.get("incomplete"), expected.incomplete)
	assert_gt(tracker.scrapes, 0)
	var is_known := func() -> bool: return handle.get_trackers()[0].scrape_downloaded == 7
	assert_true(await wait_until(is_known, LIMIT))
	assert_eq(handle.get_trackers()[0].scrape_complete, expected.complete)
	var is_shown := func() -> bool:
		return handle.get_status().get_num_complete() == expected.complete
	assert_true(await wait_until(is_shown, LIMIT))
	assert_eq(handle.get_status().get_num_incomplete(), expected.incomplete)


func test_the_address_that_a_tracker_sees() -> void:
	var tracker := HttpTracker.new()
	tracker.external_ip = PackedByteArray([8, 8, 4, 4])
	var session := start_session(ALERTS)
	watch_signals(session)
	session.add_torrent_file(tracked(open(tracker)), folder + "/save")
	assert_true(await wait_for_signal(session.external_address_changed, LIMIT))
	assert_signal_emitted_with_parameters(session.external_address_changed, ["8.8.4.4"])
	var alert := await alert_of(session, "external_ip")
	assert_eq(alert.get("external_address"), "8.8.4.4")


func test_a_magnet_link_brings_its_tracker() -> void:
	var tracker := HttpTracker.new()
	var data := tracked(open(tracker))
	await seed_torrent(start_session(), data)
	assert_true(await wait_until(func() -> bool: return tracker.announces > 0, LIMIT))
	var link := TorrentInfo.from_data(data).get_magnet_uri()
	var handle := start_session().add_magnet_uri(link, folder + "/save")
	await finished(handle)
	assert_eq(sha256(folder + "/save/data.bin"), sha256(folder + "/seed/data.bin"))
