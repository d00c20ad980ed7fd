extends SceneTree
## A game that ends while the library still holds a callable of it, and what that holds.


class Atlas:
	extends RefCounted

	func _notification(what: int) -> void:
		if what == NOTIFICATION_PREDELETE:
			print("the atlas is closed")


func _initialize() -> void:
	var atlas := Atlas.new()
	PeerInfo.set_country_resolver(func(ip: String) -> String: return "%s of %s" % [ip, atlas])
	quit()
