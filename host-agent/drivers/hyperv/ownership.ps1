# Which VM is Berth's. Every VM lives in a folder of its own, <root>/vms/<vmId>, and carries its id and owner epoch
# twice: in the folder's owner file, written before anything else, and in the Notes of the VM.
#
# Two places, because between New-VM and Set-VM a kill leaves Notes empty, and because reverting a checkpoint brings
# back the Notes of its time: the higher epoch of the two is the true one. A person may add lines to the Notes.

$script:TagPattern = '(?m)^berth:1 vm=([0-9a-f-]{36}) epoch=([0-9]{1,9})(?: disk_gib=([0-9]{1,6}) state=(creating|ready|released))?\r?$'
# Which Berth's it is, in a line of its own: an agent of before reads the line above as ever, and leaves this one.
$script:InstallationPattern = '(?m)^berth-installation:([0-9a-f-]{36})\r?$'
# In the owner file: another host has taken over, and this copy starts no more.
$script:ReleasedPattern = '(?m)^berth-released\r?$'
# vmId -> Hyper-V's own Id, as last seen by this worker. Only a shortcut: whatever it finds is checked again.
$script:KnownIds = @{}

function Get-VmFolder([string]$VmId) { [System.IO.Path]::Combine($script:Config.Vms, $VmId) }
function Get-DiskPath([string]$VmId) { [System.IO.Path]::Combine($script:Config.Vms, $VmId, 'disk.vhdx') }
# A disk until it is whole, so that one of the final name always is.
function Get-FreshDiskPath([string]$VmId) { [System.IO.Path]::ChangeExtension((Get-DiskPath $VmId), '.new.vhdx') }
function Get-SeedPath([string]$VmId) { [System.IO.Path]::Combine($script:Config.Vms, $VmId, 'seed.iso') }
function Get-OwnerPath([string]$VmId) { [System.IO.Path]::Combine($script:Config.Vms, $VmId, 'berth.owner') }

function Read-Tag([string]$Text) {
    $match = [regex]::Match([string]$Text, $script:TagPattern)
    if (-not $match.Success) { return $null }
    $installation = [regex]::Match([string]$Text, $script:InstallationPattern)
    $state = $match.Groups[4].Value
    @{
        installation = if ($installation.Success) { $installation.Groups[1].Value } else { $null }
        vmId    = $match.Groups[1].Value
        epoch   = [int]$match.Groups[2].Value
        diskGib = if ($match.Groups[3].Success) { [int]$match.Groups[3].Value } else { 0 }
        # It was whole once, and is so still where it was released.
        ready   = $state -ceq 'ready' -or $state -ceq 'released'
        released = $state -ceq 'released' -or ($Text.Contains('berth-released') -and [regex]::IsMatch($Text, $script:ReleasedPattern))
    }
}

# It names another Berth than the one that asks. Where either is not known, all is as before there were two.
function Test-Foreign($Tag) {
    $null -ne $script:Installation -and $null -ne $Tag.installation -and $Tag.installation -cne $script:Installation
}

# The owner file's tag, or null where there is no file.
function Read-OwnerFile([string]$VmId) {
    try { $tag = Read-Tag ([System.IO.File]::ReadAllText((Get-OwnerPath $VmId))) }
    catch [System.IO.FileNotFoundException] { return $null }
    catch [System.IO.DirectoryNotFoundException] { return $null }
    if ($null -ne $tag -and $tag.vmId -ceq $VmId) { $tag }
}

# Under another name first: a kill leaves the whole file or none.
function Write-OwnerFile([string]$VmId, [int]$Epoch, [bool]$Released = $false) {
    $path = Get-OwnerPath $VmId
    $fresh = "$path.new"
    $text = "berth:1 vm=$VmId epoch=$Epoch`n"
    if ($null -ne $script:Installation) { $text += "berth-installation:$script:Installation`n" }
    if ($Released) { $text += "berth-released`n" }
    [System.IO.File]::WriteAllText($fresh, $text)
    if ([System.IO.File]::Exists($path)) { [System.IO.File]::Replace($fresh, $path, [NullString]::Value) }
    else { [System.IO.File]::Move($fresh, $path) }
}

# The tag of a VM as Berth reads it, or null for a VM that is not Berth's. $OwnerFiles spares a read for each VM.
function Get-VmTag($Vm) {
    $tag = Read-Tag $Vm.Notes
    $vmId = if ($null -ne $tag) { $tag.vmId } else { [string]$Vm.Name }
    if ($vmId -cnotmatch $script:Patterns.uuid) { return $null }
    # A VM that was exported and imported elsewhere carries our Notes too; ours lies in its own folder.
    if (-not (Test-SamePath $Vm.Path (Get-VmFolder $vmId))) { return $null }
    $owner = Read-OwnerFile $vmId
    if ($null -eq $tag) {
        if ($null -eq $owner) { return $null }
        $tag = $owner
    }
    elseif ($null -ne $owner -and $owner.epoch -gt $tag.epoch) { $tag.epoch = $owner.epoch }
    if ($null -eq $tag.installation -and $null -ne $owner) { $tag.installation = $owner.installation }
    if ($null -ne $owner -and $owner.released) { $tag.released = $true }
    if (Test-Foreign $tag) { return $null }
    $tag
}

function Test-SamePath([string]$A, [string]$B) {
    $trim = [char[]]@('\', '/')
    [string]::Equals($A.TrimEnd($trim), $B.TrimEnd($trim), [System.StringComparison]::OrdinalIgnoreCase)
}

# Berth's VM of this id, or null. A VM that only has its name is somebody else's: `not_ours`.
function Find-OwnVm([string]$VmId) {
    if ($script:KnownIds.ContainsKey($VmId)) {
        # Any error here only means that the shortcut does not hold: the look at all VMs decides.
        $vm = try { Hyper-V\Get-VM -Id $script:KnownIds[$VmId] } catch { $null }
        if ($null -ne $vm) {
            $tag = Get-VmTag $vm
            if ($null -ne $tag -and $tag.vmId -ceq $VmId) { return $vm }
        }
        $script:KnownIds.Remove($VmId)
    }
    $found = @(Find-AllOwnVms $VmId)
    if ($found.Count -gt 1) { throw (New-Refusal 'driver_failed' 'two VMs carry the tag of this VM') }
    if ($found.Count -eq 1) {
        $script:KnownIds[$VmId] = $found[0].Id
        $found[0]
    }
}

# All of them: a process that was killed in New-VM leaves Hyper-V's service at work, and its VM may come late, when
# another attempt has made one too. Each lies in the folder of this VM, which nobody else uses.
function Find-AllOwnVms([string]$VmId) {
    $namesake = $false
    $found = @(foreach ($vm in @(Hyper-V\Get-VM)) {
            $tag = Get-VmTag $vm
            if ($null -ne $tag) { if ($tag.vmId -ceq $VmId) { $vm } }
            elseif ([string]$vm.Name -eq $VmId) { $namesake = $true }
        })
    if ($found.Count -eq 0 -and $namesake) {
        throw (New-Refusal 'not_ours' 'a VM of this name is there without the tag of Berth')
    }
    $found
}

# Of several VMs with one tag, the one that is meant: it was whole once, or else it came first.
function Select-TrueVm($Vms) {
    foreach ($vm in $Vms) { if ((Get-VmTag $vm).ready) { return $vm } }
    foreach ($vm in $Vms) { if ([string]$vm.State -ne 'Off') { return $vm } }
    $Vms[0]
}

function Assert-Epoch($Tag, $Request) {
    if (Test-Foreign $Tag) { throw (New-Refusal 'not_ours' "the VM is another Berth's") }
    if ($Tag.epoch -ne $Request.epoch) {
        throw (New-Refusal 'stale_epoch' "the VM is of owner epoch $($Tag.epoch), the call of $($Request.epoch)")
    }
}

# The VM that a request is about. Throws when there is none, or when it is of another owner epoch.
function Get-OwnVm($Request) {
    $vm = Find-OwnVm $Request.vmId
    if ($null -eq $vm) { Assert-NoVm $Request }
    Assert-Epoch (Get-VmTag $vm) $Request
    $vm
}

# Throws, as there is no VM; by the owner file, when it is of another epoch.
function Assert-NoVm($Request) {
    $owner = Read-OwnerFile $Request.vmId
    if ($null -ne $owner) { Assert-Epoch $owner $Request }
    throw (New-Refusal 'driver_failed' 'there is no such VM on this host')
}

# Puts our line into the Notes, and leaves what a person wrote there.
function Set-VmTag($Vm, $Request, [int]$DiskGib, [string]$State) {
    $line = "berth:1 vm=$($Request.vmId) epoch=$($Request.epoch) disk_gib=$DiskGib state=$State"
    $notes = [string]$Vm.Notes
    $notes = if ($null -ne (Read-Tag $notes)) { [regex]::Replace($notes, $script:TagPattern, $line) }
    elseif ($notes.Trim() -eq '') { $line }
    else { "$line`n$notes" }
    if ($null -ne $script:Installation) {
        $mark = "berth-installation:$script:Installation"
        $notes = if ([regex]::IsMatch($notes, $script:InstallationPattern)) { [regex]::Replace($notes, $script:InstallationPattern, $mark) }
        else { $notes.Replace($line, "$line`n$mark") }
    }
    if ($notes -cne $Vm.Notes) { Hyper-V\Set-VM -VM $Vm -Notes $notes }
}

# As the Notes say it.
function Get-TagState($Tag) { if (-not $Tag.ready) { 'creating' } elseif ($Tag.released) { 'released' } else { 'ready' } }

# Once another host has taken over, nothing here may write to the disk.
function Assert-NotReleased($Vm) {
    if ((Get-VmTag $Vm).released) { throw (New-Refusal 'stale_epoch' 'this copy of the VM was released to another host') }
}

# The VMs that bear Berth's tag and no Berth's id: of before there was one. Those whose Notes are lost are left as they are.
function Get-UnclaimedVms {
    @{ vms = @(foreach ($vm in @(Hyper-V\Get-VM)) {
                $tag = Get-VmTag $vm
                if ($null -ne $tag -and $null -eq $tag.installation -and $tag.diskGib -gt 0) { @{ vmId = $tag.vmId; epoch = $tag.epoch } }
            }) }
}

# Notes and the owner file are read by nobody but us: the guest notices nothing.
function Add-Claim($Request) {
    $vm = Get-OwnVm $Request
    $tag = Get-VmTag $vm
    if ($tag.diskGib -eq 0) { return @{} }
    Set-VmTag $vm $Request $tag.diskGib (Get-TagState $tag)
    Write-OwnerFile $Request.vmId $Request.epoch $tag.released
    @{}
}
